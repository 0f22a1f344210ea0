"""The report's figures: arrays in, a figure out; nothing here reads a record."""
