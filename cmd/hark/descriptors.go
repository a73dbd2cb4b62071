package main

// ownDescriptors is how many descriptors serve needs besides those of its
// clients: listeners, Redis, standard streams, files.
const ownDescriptors = 32

// warnOfDescriptors tells who operates the server that its limits promise more
// connections than the system lets it have: beyond those it accepts nobody, and
// no idle connection makes room.
func (s *served) warnOfDescriptors() {
	c := s.options.config
	most, ok := descriptorLimit()
	if needed := uint64(c.MaxConnections + c.MaxOpen + ownDescriptors); ok && most < needed {
		s.app.log.Warn("too few descriptors for --max-connections and --max-open: raise the limit (ulimit -n), or lower these",
			"limit", most, "needed", needed)
	}
}
