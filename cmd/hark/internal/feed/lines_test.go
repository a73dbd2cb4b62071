package feed_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/cmd/hark/internal/feed"
)

// read returns the lines of r as "number:text", "number!error" where a line
// was skipped, and what ended them.
func read(r io.Reader) (lines []string, end error) {
	for l := feed.NewLines(r); ; {
		line, err := l.Next()
		switch {
		case errors.Is(err, feed.ErrTooLong):
			lines = append(lines, fmt.Sprintf("%d!too long", line.Number))
		case err != nil:
			return lines, err
		default:
			lines = append(lines, fmt.Sprintf("%d:%s", line.Number, line.Text))
		}
	}
}

func TestLines(t *testing.T) {
	for name, test := range map[string]struct {
		in   string
		want []string
	}{
		"nothing":                                 {"", nil},
		"blank lines are skipped":                 {"\n \n\r\na\n\t\n", []string{"4:a"}},
		"the last end may be missing":             {"a\nb", []string{"1:a", "2:b"}},
		"bytes stay as they are":                  {" a\x00\xff \r\n", []string{"1: a\x00\xff \r"}},
		"a byte order mark counts for nothing":    {"\ufeffa\n\ufeffb\n", []string{"1:a", "2:\ufeffb"}},
		"not even in front of a document":         {"\ufeff{\n a\n}\n", []string{"1:{\n a\n}"}},
		"a byte order mark alone is a blank line": {"\ufeff", nil},
		"a document counts as one line": {
			"a\n{\n  \"b\": [\n    1\n  ]\n}\nc\n",
			[]string{"1:a", "2:{\n  \"b\": [\n    1\n  ]\n}", "7:c"},
		},
		"a document may end its lines with carriage returns": {
			"{\r\n\t\"b\": 1\r\n}\r\nc\n",
			[]string{"1:{\r\n\t\"b\": 1\r\n}\r", "4:c"},
		},
		"a lone brace takes no other line along": {"{\na\n{\n b\nc\n", []string{"1:{", "2:a", "3:{\n b", "5:c"}},
		"brace after brace":                      {"{\n{\n{\n}\n", []string{"1:{", "2:{", "3:{\n}"}},
		"a document cut off":                     {"{\n a\n", []string{"1:{\n a"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(test.in), iotest.OneByteReader(strings.NewReader(test.in))} {
				got, err := read(r)
				require.ErrorIs(t, err, io.EOF)
				require.Equal(t, test.want, got)
			}
		})
	}
}

func TestLinesLongerThanTheBufferSurvive(t *testing.T) {
	long := strings.Repeat("0123456789", 200_000)
	got, err := read(strings.NewReader("a\n" + long + "\nb\n{\n " + long + "\n}\nc"))
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, []string{"1:a", "2:" + long, "3:b", "4:{\n " + long + "\n}", "7:c"}, got)
}

func TestTheLongestLineIsReadAndALongerOneSkipped(t *testing.T) {
	longest := bytes.Repeat([]byte{'x'}, feed.MaxLine)
	input := func(end string) io.Reader {
		return io.MultiReader(
			bytes.NewReader(longest), strings.NewReader("\n"),
			bytes.NewReader(longest), strings.NewReader("y\na\n{\n "),
			bytes.NewReader(longest), strings.NewReader("\n b\n}\n{\n "),
			bytes.NewReader(longest[:feed.MaxLine/2]), strings.NewReader("\n "),
			bytes.NewReader(longest[:feed.MaxLine/2]), strings.NewReader("\n}\nb\n"),
			bytes.NewReader(longest), strings.NewReader("y"+end),
		)
	}
	for _, end := range []string{"", "\n"} {
		got, err := read(input(end))
		require.ErrorIs(t, err, io.EOF)
		require.Len(t, got[0], len("1:")+feed.MaxLine)
		require.Equal(t, []string{"2!too long", "3:a", "4!too long", "8!too long", "12:b", "13!too long"}, got[1:])
	}
}

func TestAReadErrorEndsTheLines(t *testing.T) {
	broken := errors.New("broken")
	got, err := read(io.MultiReader(strings.NewReader("a\n{\n b\n"), iotest.ErrReader(broken)))
	require.ErrorIs(t, err, broken)
	require.Equal(t, []string{"1:a", "2:{\n b"}, got)
}
