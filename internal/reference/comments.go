package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// module is ours.
const module = "github.com/breakwater-otel/breakwater"

// comments has what the sources of packages say of their types.
type comments struct {
	root     string
	packages map[string]*packageComments
}

// packageComments is what one package says.
type packageComments struct {
	types  map[string]string   // by type
	fields map[string]string   // by type and field, with a dot between
	values map[string][]string // constants of a type of texts
}

func newComments(root string) *comments {
	return &comments{root: root, packages: map[string]*packageComments{}}
}

// of returns what the package of a type says.
func (c *comments) of(t reflect.Type) (*packageComments, error) {
	path := t.PkgPath()
	if p, ok := c.packages[path]; ok {
		return p, nil
	}
	dir, err := c.dir(path)
	if err != nil {
		return nil, err
	}
	p, err := parsePackage(dir)
	if err != nil {
		return nil, err
	}
	c.packages[path] = p
	return p, nil
}

func (c *comments) dir(path string) (string, error) {
	if below, ok := strings.CutPrefix(path, module+"/"); ok {
		return filepath.Join(c.root, below), nil
	}
	cmd := exec.Command("go", "list", "-find", "-f", "{{.Dir}}", path) //nolint:gosec // the path is that of a type
	cmd.Dir = c.root
	output, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("the sources of %s: %w", path, err)
	}
	return strings.TrimSpace(string(output)), nil
}

func parsePackage(dir string) (*packageComments, error) {
	p := &packageComments{types: map[string]string{}, fields: map[string]string{}, values: map[string][]string{}}
	sources := func(info fs.FileInfo) bool { return !strings.HasSuffix(info.Name(), "_test.go") }
	packages, err := parser.ParseDir(token.NewFileSet(), dir, sources, parser.ParseComments) //nolint:staticcheck // no build tags in question
	if err != nil {
		return nil, err
	}
	for _, pkg := range packages {
		for _, file := range pkg.Files {
			for _, decl := range file.Decls {
				if general, ok := decl.(*ast.GenDecl); ok {
					p.addDeclaration(general)
				}
			}
		}
	}
	return p, nil
}

func (p *packageComments) addDeclaration(general *ast.GenDecl) {
	for _, spec := range general.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			p.types[spec.Name.Name] = plain(spec.Doc.Text(), general.Doc.Text())
			if fields, ok := spec.Type.(*ast.StructType); ok {
				p.addFields(spec.Name.Name, fields)
			}
		case *ast.ValueSpec:
			if named, ok := spec.Type.(*ast.Ident); ok && general.Tok == token.CONST && len(spec.Values) == 1 {
				if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
					if value, err := strconv.Unquote(literal.Value); err == nil {
						p.values[named.Name] = append(p.values[named.Name], value)
					}
				}
			}
		}
	}
}

func (p *packageComments) addFields(owner string, fields *ast.StructType) {
	keys := map[string]string{}
	for _, field := range fields.Fields.List {
		for _, name := range field.Names {
			if field.Tag != nil {
				keys[name.Name], _, _ = strings.Cut(tagOf(field.Tag.Value), ",")
			}
		}
	}
	var before string
	for _, field := range fields.Fields.List {
		text := plain(field.Doc.Text(), field.Comment.Text())
		for _, name := range field.Names {
			said := text
			// `// Units and Identifiers …` is about both.
			if said == "" && regexp.MustCompile(`\b`+name.Name+`\b`).MatchString(before) {
				said = before
			}
			p.fields[owner+"."+name.Name] = withKeys(said, name.Name, keys)
		}
		if len(field.Names) == 0 {
			p.fields[owner+"."+embeddedName(field.Type)] = withKeys(text, embeddedName(field.Type), keys)
		}
		if text != "" {
			before = text
		}
	}
}

func tagOf(literal string) string {
	text, err := strconv.Unquote(literal)
	if err != nil {
		return ""
	}
	return reflect.StructTag(text).Get("mapstructure")
}

func embeddedName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.StarExpr:
		return embeddedName(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// plain is the first of the texts that there is, on one line: its first paragraph, without what is for other readers.
func plain(texts ...string) string {
	for _, text := range texts {
		text, _, _ = strings.Cut(strings.TrimSpace(text), "\n\n")
		var lines []string
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if !strings.HasPrefix(line, "nolint") && !strings.HasPrefix(line, "Deprecated") {
				lines = append(lines, line)
			}
		}
		if joined := strings.Join(lines, " "); joined != "" {
			return joined
		}
	}
	return ""
}

var aboutBoth = regexp.MustCompile(`^(\w+) and (\w+)\b`)

// withKeys says it for who reads YAML: the name of the field at the beginning goes, those of others are their keys.
func withKeys(text, own string, keys map[string]string) string {
	if both := aboutBoth.FindStringSubmatch(text); both != nil && keys[both[1]] != "" && keys[both[2]] != "" {
		text = "`" + keys[both[1]] + "` and `" + keys[both[2]] + "`" + text[len(both[0]):]
	}
	text = withoutName(text, own)
	for name, key := range keys {
		if key == "" || name == own {
			continue
		}
		// Not at the beginning of a sentence, where it may be a word.
		pattern := regexp.MustCompile(`([a-z,] |\b[A-Za-z]*Config\.)` + name + `\b`)
		text = pattern.ReplaceAllString(text, "$1`"+key+"`")
		text = regexp.MustCompile(`\b[A-Za-z]*Config\.(`+"`"+`)`).ReplaceAllString(text, "$1")
	}
	return text
}

// verb is what the name of a field is followed by where the rest says it without the name.
var verb = regexp.MustCompile(`^([A-Za-z]+) (?:(?:is|are) (\S)|([a-z]+s )(\S))`)

// withoutName is the text without the name that a comment of Go begins with: "X is how long" is "How long", and "X bounds
// it" is "Bounds it". "X of the letters" stays.
func withoutName(text, name string) string {
	match := verb.FindStringSubmatchIndex(text)
	if match == nil || text[match[2]:match[3]] != name {
		return text
	}
	begin := match[4] // behind is or are
	if begin < 0 {
		begin = match[6]
	}
	return strings.ToUpper(text[begin:begin+1]) + text[begin+1:]
}
