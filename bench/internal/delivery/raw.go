package delivery

// Raw is no bus: the publisher sends into one channel for each reader.
var Raw = Kind{Name: "raw channels", Open: openRaw}

type raw []chan *Item

func openRaw(readers []*Reader, capacity int) (Bus, error) {
	var bus raw
	for _, r := range readers {
		items := make(chan *Item, capacity)
		bus = append(bus, items)
		go func() {
			for item := range items {
				r.Got(item.Number)
			}
		}()
	}
	return bus, nil
}

func (b raw) Publish(item *Item) error {
	for _, items := range b {
		items <- item
	}
	return nil
}

func (b raw) Close() error {
	for _, items := range b {
		close(items)
	}
	return nil
}
