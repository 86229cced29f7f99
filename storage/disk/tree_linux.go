package disk

// openTree asks the kernel for openat2, and takes os.Root where it is missing:
// before Linux 5.6, and under a seccomp filter that has not heard of it.
func openTree(dir string, rooted bool) (tree, error) {
	if rooted {
		return openRooted(dir)
	}
	b, err := openBeneath(dir)
	if err == errNoOpenat2 {
		return openRooted(dir)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}
