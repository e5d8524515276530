"""What strangers' files say, and where they lie: records, documents, folders; shared by the readers."""
