"""The answer clock: by when whoever complains or asks is answered, however small."""
