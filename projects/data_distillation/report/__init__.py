"""Writing the page that shows the labels, the curves and the comparison."""
