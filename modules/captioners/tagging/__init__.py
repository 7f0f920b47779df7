"""What finds tags for drawings: names of tags, and networks that are sure of each to some degree."""
