"""The spine: what a stage is, what a commit is, what there is to do, and how it is driven."""
