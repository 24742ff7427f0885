"""The known data sets, one in each file."""
