package words

// basics are the words that others are made of.
var basics = map[string]message{
	"list.comma":   {", ", "、", "、", "、"},
	"list.and":     {" and ", " 和 ", " 和 ", " と "},
	"list.or":      {" or ", " 或 ", " 或 ", " または "},
	"sentence.gap": {" ", "", "", ""},

	"client":   {"client", "客户端", "用戶端", "クライアント"},
	"server":   {"server", "服务器", "伺服器", "サーバー"},
	"itself":   {"itself", "本机", "本機", "自分自身"},
	"anywhere": {"anywhere", "任何位置", "任何位置", "任意の場所"},
}
