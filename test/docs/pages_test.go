package docs

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
	"k8s.io/apimachinery/pkg/util/sets"
)

const root = "../.."

// page is a Markdown file.
type page struct {
	// path is relative to the root of the repository.
	path   string
	source []byte
	tree   ast.Node
}

// codeBlock is a fenced block of code.
type codeBlock struct{ language, text string }

// pages are all pages of the documentation.
func pages(t *testing.T) []page {
	t.Helper()
	var all []page
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "deploy/chart/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, files, pattern)
		for _, file := range files {
			path, err := filepath.Rel(root, file)
			require.NoError(t, err)
			all = append(all, readPage(t, filepath.ToSlash(path)))
		}
	}
	return all
}

func readPage(t *testing.T, path string) page {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(root, path))
	require.NoError(t, err)
	markdown := goldmark.New(goldmark.WithExtensions(extension.Table))
	return page{path: path, source: source, tree: markdown.Parser().Parse(text.NewReader(source))}
}

// visit calls a function for each node of a type.
func visit[N ast.Node](t *testing.T, p page, each func(N)) {
	t.Helper()
	require.NoError(t, ast.Walk(p.tree, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if typedNode, ok := node.(N); ok && entering {
			each(typedNode)
		}
		return ast.WalkContinue, nil
	}))
}

func (p page) links(t *testing.T) []string {
	t.Helper()
	var links []string
	visit(t, p, func(link *ast.Link) { links = append(links, string(link.Destination)) })
	return links
}

func (p page) code(t *testing.T) []codeBlock {
	t.Helper()
	var blocks []codeBlock
	visit(t, p, func(block *ast.FencedCodeBlock) {
		blocks = append(blocks, codeBlock{string(block.Language(p.source)), string(block.Lines().Value(p.source))})
	})
	return blocks
}

// inlineCode are the words in backticks.
func (p page) inlineCode(t *testing.T) []string {
	t.Helper()
	var words []string
	visit(t, p, func(span *ast.CodeSpan) { words = append(words, plainText(span, p.source)) })
	return words
}

// anchors are the anchors of the headings on GitHub.
func (p page) anchors(t *testing.T) sets.Set[string] {
	t.Helper()
	anchors := sets.New[string]()
	visit(t, p, func(heading *ast.Heading) {
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			default:
				return -1
			}
		}, plainText(heading, p.source))
		assert.False(t, anchors.Has(name), "%s has two headings %q", p.path, name)
		anchors.Insert(name)
	})
	return anchors
}

func plainText(node ast.Node, source []byte) string {
	var plain bytes.Buffer
	_ = ast.Walk(node, func(child ast.Node, entering bool) (ast.WalkStatus, error) {
		if leaf, ok := child.(*ast.Text); ok && entering {
			plain.Write(leaf.Value(source))
		}
		return ast.WalkContinue, nil
	})
	return plain.String()
}

func TestLinksLeadSomewhere(t *testing.T) {
	for _, p := range pages(t) {
		for _, link := range p.links(t) {
			target, err := url.Parse(link)
			require.NoError(t, err, p.path)
			if target.IsAbs() {
				assert.Equal(t, "https", target.Scheme, "%s: %s", p.path, link)
				continue
			}
			file := p.path
			if target.Path != "" {
				file = filepath.ToSlash(filepath.Join(filepath.Dir(p.path), target.Path))
			}
			if _, err := os.Stat(filepath.Join(root, file)); !assert.NoError(t, err, "%s: %s", p.path, link) || target.Fragment == "" {
				continue
			}
			assert.True(t, readPage(t, file).anchors(t).Has(target.Fragment), "%s: %s: there is no such heading", p.path, link)
		}
	}
}

func TestTheIndexHasEveryPage(t *testing.T) {
	linked := sets.New(readPage(t, "docs/README.md").links(t)...)
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	for _, file := range files {
		if name := filepath.Base(file); name != "README.md" {
			assert.True(t, linked.Has(name), "docs/README.md has no link to %s", name)
		}
	}
}

func TestTheReadmeIsShort(t *testing.T) {
	lines := bytes.Count(readPage(t, "README.md").source, []byte("\n"))
	assert.LessOrEqual(t, lines, 160)
}
