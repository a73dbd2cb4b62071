package wire

import (
	"fmt"
	"slices"
	"time"
)

// Run measures the contenders, one sample of each after the other. The first
// contender runs twice, so that what two equal ones differ by can be seen.
func Run(binary string, contenders []Contender, p Plan) ([]Cost, error) {
	contenders = append([]Contender{{contenders[0].Name + " (A/A)", contenders[0].Start}}, contenders...)
	samples := make([][]time.Duration, len(contenders))
	for range p.Rounds {
		for i, c := range contenders {
			cost, err := once(binary, c, p)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.Name, err)
			}
			samples[i] = append(samples[i], cost)
		}
	}
	var costs []Cost
	for i, c := range contenders {
		slices.Sort(samples[i])
		costs = append(costs, Cost{c.Name, samples[i][0], samples[i][len(samples[i])/2]})
	}
	return costs, nil
}

// once starts a contender, warms it up, and takes a sample.
func once(binary string, c Contender, p Plan) (time.Duration, error) {
	server, err := c.Start(p.Connections)
	if err != nil {
		return 0, err
	}
	defer server.Stop()
	clients, err := startClients(binary, server, p)
	if err != nil {
		return 0, err
	}
	defer func() {
		_ = clients.Process.Kill()
		_ = clients.Wait()
	}()
	warm := p
	warm.Bursts = 3
	if _, err := sample(server, warm); err != nil {
		return 0, err
	}
	return sample(server, p)
}
