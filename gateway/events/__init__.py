"""One ordered feed per shop: appended in the transaction of the change, read by everyone who must not miss any."""
