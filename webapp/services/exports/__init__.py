"""« Exporter »: any list as a file for spreadsheets, with the rows, the order and the columns that one sees."""
