package sim

import "strconv"

// A Tx is the result of a transaction.
type Tx struct {
	Height  int64  `json:"height,string"`
	Index   int    `json:"index"` // in its block
	Hash    string `json:"hash"`  // 64 upper-case hexadecimal digits
	Code    int    `json:"code"`  // 0: it succeeded
	GasUsed int64  `json:"gas_used,string"`
}

// One in so many transactions fails: it pays its fee and does nothing.
const failedTxs = 50

// A kind of message: how often it is among a hundred, and what it does.
type kind struct {
	share  int
	action string
	module string
	emit   func(*tx)
}

var kinds = []kind{
	{60, "/cosmos.bank.v1beta1.MsgSend", "bank", (*tx).send},
	{8, "/cosmos.bank.v1beta1.MsgMultiSend", "bank", (*tx).sendToSeveral},
	{10, "/cosmos.staking.v1beta1.MsgDelegate", "staking", (*tx).delegate},
	{8, "/cosmos.distribution.v1beta1.MsgWithdrawDelegatorReward", "distribution", (*tx).withdraw},
	{8, "/cosmos.gov.v1.MsgVote", "governance", (*tx).voteOnProposal},
	{1, "/cosmos.gov.v1.MsgSubmitProposal", "governance", (*tx).propose},
	{5, "/ibc.applications.transfer.v1.MsgTransfer", "ibc_channel", (*tx).sendToOtherChain},
}

func (c *Chain) drawKind() kind {
	n := c.random.IntN(100)
	for _, k := range kinds {
		if n -= k.share; n < 0 {
			return k
		}
	}
	return kinds[0]
}

// A tx is a transaction while its events are gathered.
type tx struct {
	*Chain
	sender string
	events map[string][]string
}

// newTx tells one transaction of this height: a fee, and unless it fails one
// message, or sometimes two.
func (c *Chain) newTx(index int) {
	sender := c.someone()
	t := &tx{Chain: c, sender: c.accounts[sender]}
	fee := c.ownCoin(100, 10_000)
	hash := c.hash("tx", c.height, index)
	t.events = map[string][]string{
		"tm.event":     {"Tx"},
		"tx.height":    {strconv.FormatInt(c.height, 10)},
		"tx.hash":      {hash},
		"tx.fee":       {fee},
		"tx.fee_payer": {t.sender},
		"tx.acc_seq":   {t.sender + "/" + strconv.FormatUint(c.sequences[sender], 10)},
	}
	c.sequences[sender]++
	t.pay(t.sender, feeCollector, fee)

	result := Tx{Height: c.height, Index: index, Hash: hash, GasUsed: 60_000 + c.random.Int64N(90_000)}
	if c.random.IntN(failedTxs) == 0 {
		result.Code = 5 // insufficient funds
	} else {
		t.message(c.drawKind())
		if c.random.IntN(10) == 0 {
			t.message(c.drawKind())
		}
	}
	c.tell(result, t.events)
}

func (t *tx) message(k kind) {
	t.add("message.action", k.action)
	t.add("message.module", k.module)
	t.add("message.sender", t.sender)
	k.emit(t)
}

func (t *tx) add(key, value string) { add(t.events, key, value) }

// pay emits what a payment emits.
func (t *tx) pay(from, to, coin string) {
	t.add("coin_spent.spender", from)
	t.add("coin_spent.amount", coin)
	t.add("coin_received.receiver", to)
	t.add("coin_received.amount", coin)
	t.add("transfer.sender", from)
	t.add("transfer.recipient", to)
	t.add("transfer.amount", coin)
}

func (t *tx) send() { t.pay(t.sender, t.accounts[t.someone()], t.coin()) }

func (t *tx) sendToSeveral() {
	for range 2 + t.random.IntN(4) {
		t.send()
	}
}

func (t *tx) delegate() {
	coin := t.ownCoin(1_000, 1_000_000_000)
	t.pay(t.sender, pool, coin)
	t.add("delegate.validator", t.someValidator())
	t.add("delegate.delegator", t.sender)
	t.add("delegate.amount", coin)
}

func (t *tx) withdraw() {
	coin := t.ownCoin(1, 1_000_000)
	t.pay(pool, t.sender, coin)
	t.add("withdraw_rewards.validator", t.someValidator())
	t.add("withdraw_rewards.delegator", t.sender)
	t.add("withdraw_rewards.amount", coin)
}

func (t *tx) voteOnProposal() {
	t.add("proposal_vote.voter", t.sender)
	t.add("proposal_vote.proposal_id", strconv.FormatUint(1+t.proposals, 10))
	t.add("proposal_vote.option", options[t.random.IntN(len(options))])
}

var options = []string{"VOTE_OPTION_YES", "VOTE_OPTION_YES", "VOTE_OPTION_NO", "VOTE_OPTION_ABSTAIN"}

func (t *tx) propose() {
	t.proposals++
	coin := t.ownCoin(1_000_000, 100_000_000)
	t.pay(t.sender, pool, coin)
	t.add("submit_proposal.proposal_id", strconv.FormatUint(1+t.proposals, 10))
	t.add("proposal_deposit.amount", coin)
}

func (t *tx) sendToOtherChain() {
	coin := t.coin()
	t.pay(t.sender, escrow, coin)
	t.add("ibc_transfer.sender", t.sender)
	t.add("ibc_transfer.receiver", t.address("osmo", accountLength))
	t.add("ibc_transfer.amount", coin)
	t.add("send_packet.packet_src_channel", "channel-141")
	t.add("send_packet.packet_sequence", strconv.FormatInt(t.height*1000+int64(len(t.block)), 10))
}

func (t *tx) someValidator() string { return t.validators[t.random.IntN(len(t.validators))].operator }
