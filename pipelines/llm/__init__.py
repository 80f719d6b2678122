"""Language models over HTTP: requests that are asked once, paid once and kept, under budgets that hold."""
