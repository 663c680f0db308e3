"""Labels in the forms that other programs read. Every one is made anew from the part files, and replaced as a whole."""
