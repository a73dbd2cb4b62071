package wire

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// ClientsCommand is the argument by which this program is asked to be clients;
// what kind follows. They end with their standard input.
const ClientsCommand = "websocket-clients"

// kinds of clients, which get the arguments that follow the kind.
var kinds = map[string]func(in *bufio.Scanner, args []string) error{
	"discard": discardClients,
	"timed":   timedClients,
	"crowd":   crowdClients,
}

// Clients is what the program does that was called with ClientsCommand.
func Clients(args []string) error {
	if len(args) == 0 || kinds[args[0]] == nil {
		return fmt.Errorf("wire: clients of no kind: %q", args)
	}
	return kinds[args[0]](bufio.NewScanner(os.Stdin), args[1:])
}

// A party is a process of clients. It answers each line with one line.
type party struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startParty(kind string, args ...string) (*party, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &party{cmd: exec.Command(self, append([]string{ClientsCommand, kind}, args...)...)}
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(out)
	return p, p.cmd.Start()
}

// ask sends a question and reads the answer into one, which may be nil.
func (p *party) ask(question, answer any) error {
	line, err := json.Marshal(question)
	if err != nil {
		return err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return err
	}
	if !p.out.Scan() {
		return errors.Join(errors.New("wire: the clients have ended"), p.out.Err())
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(p.out.Bytes(), answer)
}

// answer answers a question.
func answer(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }

func (p *party) stop() {
	_ = p.in.Close()
	_ = p.cmd.Wait()
}
