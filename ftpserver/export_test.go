package ftpserver

// CommandRow shows a row of the command table to the tests.
type CommandRow struct {
	Verb    string
	Syntax  string
	Defined string
	Early   bool
	Beside  bool
	Moves   bool
	// Wants is "nothing", "text" (must be there), "optional", or "path" (must
	// be there).
	Wants string
	Needs Rights
}

// CommandTable is the command table, and that of SITE with its words as
// "SITE WORD".
func CommandTable() []CommandRow {
	var rows []CommandRow
	add := func(verb string, c *command) {
		rows = append(rows, CommandRow{
			Verb: verb, Syntax: c.syntax, Defined: c.defined, Early: c.early, Beside: c.beside, Moves: c.moves,
			Wants: wants[c.arg], Needs: c.needs,
		})
	}
	for verb, c := range commands {
		add(verb, c)
	}
	for word, c := range siteCommands {
		add("SITE "+word, c)
	}
	return rows
}

var wants = map[argument]string{
	nothing: "nothing", text: "text", optional: "optional",
	aPath: "path", optionalPath: "optional", newPath: "path",
}
