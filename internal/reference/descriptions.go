package main

// descriptions are those of upstream's settings whose sources have no comment, or one that is about the code. By type and
// field.
var descriptions = map[string]string{}
