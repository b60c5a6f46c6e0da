"""Hears feeds: RSS, Atom and JSON Feed, polled or pushed by WebSub."""
