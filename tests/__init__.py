"""The tests mirror the house: a folder for each room, and the contract tests beside them."""
