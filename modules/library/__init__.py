"""Records of pictures, jobs and events: the database and its migrations."""
