package capture

// LiveOptions say how [Live] listens.
type LiveOptions struct {
	// Snap is how much is kept of each packet. Default all.
	Snap int
	// Buffer is how much the kernel keeps for us while we are busy. Default 16 MiB.
	Buffer int
	// Promiscuous asks the card for packets that are for others.
	Promiscuous bool
}
