package syntax_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/compat/cmtquery/syntax"
)

func TestScannerTellsTokensAndPlaces(t *testing.T) {
	s := syntax.NewScanner(strings.NewReader("  a.b<= 3.AND 'x y' TIME 2021-11-23T15:16:17Z DATE=ä"))
	for _, want := range []struct {
		tok  syntax.Token
		text string
		pos  int
	}{
		{syntax.TTag, "a.b", 2}, {syntax.TLeq, "<=", 5}, {syntax.TNumber, "3.", 8}, {syntax.TAnd, "AND", 10},
		{syntax.TString, "x y", 14}, {syntax.TTime, "2021-11-23T15:16:17Z", 20},
		{syntax.TTag, "DATE", 46}, {syntax.TEq, "=", 50}, {syntax.TTag, "ä", 51},
	} {
		require.NoError(t, s.Next())
		require.Equal(t, want.tok, s.Token())
		require.Equal(t, want.text, s.Text())
		require.Equal(t, want.pos, s.Pos())
	}
	require.Equal(t, io.EOF, s.Next())
	require.Equal(t, io.EOF, s.Err())
	require.EqualValues(t, syntax.TInvalid, s.Token())
}

func TestErrorsOfTheReaderAreTold(t *testing.T) {
	broken := errors.New("broken")
	_, err := syntax.NewParser(iotest.ErrReader(broken)).Parse()
	require.ErrorIs(t, err, broken)
}

func TestNumbersOfArguments(t *testing.T) {
	for text, want := range map[string]string{
		"5": "5", "3.": "3", "0.1": "0.1", "007": "7",
		"123456789012345678901234567890123456789012345": "123456789012345678901234567890123456789012345",
	} {
		q, err := syntax.Parse("a = " + text)
		require.NoError(t, err)
		require.Equal(t, want, q[0].Arg.Number().Text('g', 60)[:min(len(want), 60)], text)
	}
	var none *syntax.Arg
	require.Nil(t, none.Number())
	require.True(t, none.Time().IsZero())
	require.Equal(t, "", none.String())
	require.Nil(t, (&syntax.Arg{Type: syntax.TNumber}).Number())
}
