"""Opens inputs whose products are to be predicted, and reads them part by part."""
