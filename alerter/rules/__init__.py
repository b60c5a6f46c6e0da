"""Which rule fires on a signal, how severe that makes its story, and which stories share one incident. Pure."""
