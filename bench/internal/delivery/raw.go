package delivery

// Raw is no bus: the publisher sends into one channel for each reader. RawSelect
// is the same with readers that look at a second channel, as those of a bus whose
// subscriptions may end do.
var (
	Raw       = Kind{Name: "raw channels", Open: openRaw}
	RawSelect = Kind{Name: "raw channels with a select", Open: openRawSelect}
)

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

func openRawSelect(readers []*Reader, capacity int) (Bus, error) {
	var bus raw
	for _, r := range readers {
		items, canceled := make(chan *Item, capacity), make(chan struct{})
		bus = append(bus, items)
		go func() {
			for {
				select {
				case item, open := <-items:
					if !open {
						return
					}
					r.Got(item.Number)
				case <-canceled: // never
					return
				}
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
