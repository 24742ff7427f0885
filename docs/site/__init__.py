"""The documentation site: `hooks` gives MkDocs the pages that are made from the code, the zoo and the repository."""
