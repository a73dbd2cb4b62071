package bars

import (
	"errors"
	"strconv"

	"github.com/harkbus/pubsub/bench/internal/remote"
	"github.com/harkbus/pubsub/bench/internal/trial"
	"github.com/harkbus/pubsub/internal/redistest"
)

// measureSharding compares Pub/Sub of the whole cluster, which every node sends
// to every other, with sharded Pub/Sub, which stays on the node of its slot.
func measureSharding(s *Session) (err error) {
	var contenders []trial.Contender
	kinds := []remote.Kind{remote.Sharded, remote.Sharded, remote.Unsharded}
	for _, kind := range kinds {
		cluster, startErr := redistest.NewCluster(3)
		if startErr != nil {
			return startErr
		}
		defer cluster.Close()
		line, openErr := remote.Open(kind, cluster.Nodes[0].Addr)
		if openErr != nil {
			return openErr
		}
		defer func() { err = errors.Join(err, line.Close()) }()
		contenders = append(contenders, line.Contender())
	}
	r, err := trial.Run(s.Plan, contenders...)
	if err != nil {
		return err
	}
	of := "through a cluster of 3 nodes, " + strconv.Itoa(remote.PayloadSize) + " bytes: "
	s.spread(of+"SPUBLISH", r[0], r[1])
	s.compare(of+"PUBLISH ÷ SPUBLISH", "4.4", AtLeast(4), r[2], r[0])
	return nil
}
