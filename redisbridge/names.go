package redisbridge

import (
	"fmt"
	"strconv"

	"github.com/harkbus/pubsub"
)

// Names in Redis. What one script touches has one hash tag, so that in a
// cluster it is in one slot; partitions have different ones, so that they
// spread over the nodes.
//
//	hark:{shop#0}:stream               the stream of partition 0
//	hark:{shop#0}:last                 the ID of its last entry; expires
//	hark:{shop#0}:epoch                when the stream was made; expires
//	hark:{shop#0}:origin:NAME:EPOCH    the last sequence of an origin; expires
//	hark:{shop#0}:live                 the channel of partition 0
//	hark:{shop}:layout                 format and number of partitions
//	hark:{shop}:inbox:NAME:EPOCH       channel for answers to one process
//	hark:{shop}:probe                  channel nobody listens to: does the server shard?
type partitionNames struct{ stream, last, epoch, origin, channel string }

func namesOfPartition(namespace string, partition int, origin pubsub.Origin) partitionNames {
	prefix := "hark:{" + namespace + "#" + strconv.Itoa(partition) + "}:"
	return partitionNames{
		stream:  prefix + "stream",
		last:    prefix + "last",
		epoch:   prefix + "epoch",
		origin:  prefix + "origin:" + originText(origin),
		channel: prefix + "live",
	}
}

// placeOf returns the name of what the frames of a partition go through.
func (m *member) placeOf(partition int) string {
	names := namesOfPartition(m.opt.Namespace, partition, m.origin)
	if m.opt.Mode == Durable {
		return names.stream
	}
	return names.channel
}

type namespaceNames struct{ layout, inbox, probe string }

func namesOfNamespace(namespace string, origin pubsub.Origin) namespaceNames {
	prefix := "hark:{" + namespace + "}:"
	return namespaceNames{
		layout: prefix + "layout",
		inbox:  prefix + "inbox:" + originText(origin),
		probe:  prefix + "probe",
	}
}

// originText names an origin inside keys.
func originText(o pubsub.Origin) string { return fmt.Sprintf("%s:%016x", o.Name, o.Epoch) }
