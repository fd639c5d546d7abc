"""A report on paper: as a page, as a sheet, as a document."""
