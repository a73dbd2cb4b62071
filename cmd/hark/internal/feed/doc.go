// Package feed reads publications out of lines of JSON.
//
//	lines := feed.NewLines(r)
//	var decoder feed.Decoder
//	for line, err := lines.Next(); err != io.EOF; line, err = lines.Next() {
//		publications, err := decoder.Decode(line.Text)
//		…
//	}
//
// It understands three things, which may be mixed:
//
//	{"events":{"tx.height":["5"]},"data":…}          a publication
//	{"jsonrpc":"2.0","result":{"events":{…},…}}      the same, as a node sends it to a subscriber; other
//	                                                 replies and requests of the protocol hold no publication
//	{"result":{"height":"5","txs_results":[…],…}}    the results of a block: a publication for each
//	                                                 transaction and for each event of the block itself
//
// [Documents] understands any object instead, as package jsonevents does.
//
// A document printed over several lines, as nodes and jq do, counts as one
// line if it starts with a line of only "{", goes on with indented lines and
// ends with a line of only "}".
//
// Memory is bounded by the longest line, at most [MaxLine], and given back
// after it. What is not JSON, or not one of the three, is an error that names
// the place; the next line can be read all the same. JSON is taken strictly:
// invalid UTF-8, or a name twice in one object, is an error too, since two
// readers might understand it differently.
package feed
