package jsonevents

// In-package, for what a Flattener keeps between two documents.

const KeptNodes = keptNodes

// Learned returns how many names are kept.
func (f *Flattener) Learned() int {
	switch {
	case f.Keys != nil:
		return f.Keys.Nodes()
	case f.own != nil:
		return f.own.Nodes()
	}
	return 0
}

// Nodes returns how many nodes there are below the root.
func (k *Keys) Nodes() int { return k.root.nodes() - 1 }

func (n *node) nodes() int {
	count := 1 + len(n.learned)
	for _, c := range n.few {
		count += c.nodes()
	}
	for _, c := range n.many {
		count += c.nodes()
	}
	return count
}

// Kept returns about how many bytes are kept for values.
func (f *Flattener) Kept() int {
	return cap(f.text) + cap(f.name) + 16*cap(f.records) + 16*cap(f.values) + 8*cap(f.valued) + 8*cap(f.before) + 32*len(f.events)
}
