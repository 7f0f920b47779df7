"""What makes images larger: plain filters here; networks, and faces they restore, in the folder that needs torch."""
