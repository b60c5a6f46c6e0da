"""Answer clocks: by when everybody who complains or asks is to be answered, however few followers they have."""
