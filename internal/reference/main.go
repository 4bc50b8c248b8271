// Command reference writes docs/configuration.md: every setting of our components, with its type and default out of the
// default configuration and its meaning out of the comment of the field, and every variable that the shipped profiles
// take from the environment. `make generate` runs it, in the root of the repository.
package main

import (
	"fmt"
	"os"
)

// document is what is written, from the root of the repository.
const document = "docs/configuration.md"

func main() {
	text, err := generate(".")
	if err == nil {
		err = os.WriteFile(document, []byte(text), 0o644) //nolint:gosec // a document, for everybody
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

// generate returns the document for the repository at root. The error names everything that has no description.
func generate(root string) (string, error) {
	variables, err := readEnvironment(root)
	if err != nil {
		return "", err
	}
	book := newBook(newComments(root))
	for _, f := range factories() {
		book.addComponent(f)
	}
	if err := book.finish(); err != nil {
		return "", err
	}
	return render(variables, book), nil
}
