"""Mail: a mailbox that customers write to, read through IMAP."""
