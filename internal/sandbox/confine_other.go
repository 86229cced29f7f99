//go:build !linux

package sandbox

func confine(_, _ []string) (bool, string, error) {
	return false, "only Linux can do it", nil
}
