"""`filter`: the R-Filter over a folder of labelled images, whoever made it."""
