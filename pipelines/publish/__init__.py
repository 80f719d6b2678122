"""The room of exports: what a finished run holds, in the forms in which publishers and users exchange captions."""
