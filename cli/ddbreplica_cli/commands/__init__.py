"""The commands, one module each, with what they print beside them."""
