"""Windows of a scan, their predictions, and the labels made from them."""
