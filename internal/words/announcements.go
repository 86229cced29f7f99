package words

// announcements are what the doctor says of one line of a dialogue. The names
// behind "unroutable." and "decode.reach." are those of package doctor.
var announcements = map[string]message{
	"decode.head.address": {"address", "地址", "位址", "アドレス"},
	"decode.head.port":    {"port", "端口", "連接埠", "ポート"},
	"decode.head.means":   {"means", "含义", "含義", "意味"},
	"decode.head.remark":  {"remark", "注意", "注意", "注意"},

	// Who connects to whom.
	"decode.active": {
		"Active mode: the client listens on {at}, and the server connects to it.",
		"主动模式：客户端在 {at} 上监听，由服务器发起连接。",
		"主動模式：用戶端在 {at} 上監聽，由伺服器發起連線。",
		"アクティブモード：クライアントが {at} で待ち受け、サーバーがそこへ接続します。",
	},
	"decode.passive": {
		"Passive mode: the server listens on {at}, and the client connects to it. Many clients take the port alone, and connect to the address of the control connection.",
		"被动模式：服务器在 {at} 上监听，由客户端发起连接。许多客户端只取其中的端口，连接的是控制连接所用的地址。",
		"被動模式：伺服器在 {at} 上監聽，由用戶端發起連線。許多用戶端只取其中的連接埠，連線的是控制連線所用的位址。",
		"パッシブモード：サーバーが {at} で待ち受け、クライアントがそこへ接続します。多くのクライアントはポートだけを使い、制御コネクションのアドレスに接続します。",
	},
	"decode.passive-port": {
		"Passive mode: the server listens on port {port}, and the client connects to it at the address of the control connection.",
		"被动模式：服务器在端口 {port} 上监听，客户端用控制连接的地址连接该端口。",
		"被動模式：伺服器在連接埠 {port} 上監聽，用戶端以控制連線的位址連線到該連接埠。",
		"パッシブモード：サーバーがポート {port} で待ち受け、クライアントは制御コネクションのアドレスのそのポートに接続します。",
	},
	"decode.either": {
		"In PORT the client listens on {at} and the server connects to it, in 227 it is the other way round.",
		"若是 PORT，则客户端在 {at} 上监听，由服务器发起连接；若是 227，则相反。",
		"若是 PORT，則用戶端在 {at} 上監聽，由伺服器發起連線；若是 227，則相反。",
		"PORT ならクライアントが {at} で待ち受け、サーバーがそこへ接続します。227 なら逆です。",
	},
	"decode.port": {"It is port {port}.", "即端口 {port}。", "即連接埠 {port}。", "ポート {port} です。"},

	// What is remarkable about the form.
	"decode.blanks": {
		"More than one blank stands behind {verb}: Linux's FTP helper drops such a line for ever, and the session hangs.",
		"{verb} 后面有不止一个空格：Linux 的 FTP 辅助模块（helper）会一直丢弃这样的行，会话因此挂起。",
		"{verb} 後面有不止一個空格：Linux 的 FTP 輔助模組（helper）會一直丟棄這樣的行，工作階段因此停住。",
		"{verb} の後に空白が 2 つ以上あります。Linux の FTP ヘルパーはこのような行を破棄し続け、セッションが止まります。",
	},
	"decode.port-form": {
		"PORT takes h1,h2,h3,h4,p1,p2 and nothing else, no blanks, no zeros in front: strict servers answer this with 501.",
		"PORT 的参数只能是 h1,h2,h3,h4,p1,p2，不能有空格，也不能有前导零：严格的服务器会应答 501。",
		"PORT 的參數只能是 h1,h2,h3,h4,p1,p2，不能有空格，也不能有前置零：嚴格的伺服器會回應 501。",
		"PORT の引数は h1,h2,h3,h4,p1,p2 だけで、空白も先頭のゼロも使えません。厳格なサーバーは 501 を返します。",
	},
	"decode.227-blanks": {
		"There are blanks or zeros in front between the numbers: not every client reads them, and no NAT on the way.",
		"数字之间有空格，或者数字有前导零：并非所有客户端都能读取，途中的 NAT 则都读不了。",
		"數字之間有空格，或者數字有前置零：並非所有用戶端都能讀取，途中的 NAT 則都讀不了。",
		"数字の間に空白があるか、数字の先頭にゼロがあります。読めないクライアントがあり、途中の NAT はどれも読めません。",
	},
	"decode.227-bare": {
		"The numbers stand in no parentheses. RFC 959 does not ask for any, but some clients do.",
		"数字没有放在括号里。RFC 959 并不要求括号，但有些客户端要求。",
		"數字沒有放在括號裡。RFC 959 並不要求括號，但有些用戶端要求。",
		"数字が括弧で囲まれていません。RFC 959 は括弧を求めませんが、求めるクライアントがあります。",
	},
	"decode.bar": {
		"{letter} stands for the bar. RFC 2428 allows it, but Linux's FTP helper and many servers expect |.",
		"这里用 {letter} 代替了竖线。RFC 2428 允许这样做，但 Linux 的 FTP 辅助模块（helper）和许多服务器只认 |。",
		"這裡用 {letter} 代替了直線。RFC 2428 允許這樣做，但 Linux 的 FTP 輔助模組（helper）和許多伺服器只認 |。",
		"縦線の代わりに {letter} が使われています。RFC 2428 では許されますが、Linux の FTP ヘルパーと多くのサーバーは | を前提とします。",
	},
	"decode.229-address": {
		"An address stands in the 229. RFC 2428 leaves it out, and most clients pass over it.",
		"这条 229 中带有地址。按 RFC 2428 应当省略，大多数客户端会忽略它。",
		"這則 229 中帶有位址。依 RFC 2428 應當省略，大多數用戶端會忽略它。",
		"229 にアドレスが含まれています。RFC 2428 では省略するもので、多くのクライアントは無視します。",
	},
	"decode.229-form": {
		"RFC 2428 has it in parentheses and with bars, (|||{port}|); some clients read no other form.",
		"RFC 2428 规定使用括号和竖线，即 (|||{port}|)；有些客户端不认其他形式。",
		"RFC 2428 規定使用括號和直線，即 (|||{port}|)；有些用戶端不認其他形式。",
		"RFC 2428 の形式は括弧と縦線を使う (|||{port}|) です。他の形式を読めないクライアントがあります。",
	},
	"decode.229-period": {
		"A period ends the 229, as in vsftpd up to 3.0.2; some NAT devices pass over such a line.",
		"这条 229 以句点结尾，vsftpd 3.0.2 及更早版本就是如此；有些 NAT 设备会忽略这样的行。",
		"這則 229 以句點結尾，vsftpd 3.0.2 及更早版本就是如此；有些 NAT 裝置會忽略這樣的行。",
		"229 がピリオドで終わっています（vsftpd 3.0.2 までがこの形です）。このような行を見過ごす NAT 機器があります。",
	},

	// Why an address leads nowhere, behind that address, and who can reach it.
	"decode.address":         {"{address} {why}: {reach}.", "{address} {why}：{reach}。", "{address} {why}：{reach}。", "{address} {why}。{reach}。"},
	"unroutable.unspecified": {"is no address", "不是有效的地址", "不是有效的位址", "は有効なアドレスではありません"},
	"unroutable.loopback":    {"is the machine itself (loopback)", "指机器自身（环回地址）", "指機器自身（回送位址）", "はそのマシン自身です（ループバック）"},
	"unroutable.private":     {"is private ({rfc})", "是私有地址（{rfc}）", "是私有位址（{rfc}）", "はプライベートアドレスです（{rfc}）"},
	"unroutable.link-local":  {"is link-local", "是链路本地地址", "是鏈路本機位址", "はリンクローカルアドレスです"},
	"unroutable.multicast":   {"is a multicast address", "是组播地址", "是多點傳送位址", "はマルチキャストアドレスです"},
	"unroutable.shared": {
		"is out of the space that providers share behind their NAT ({rfc})",
		"属于运营商在其 NAT 之后共用的地址段（{rfc}）",
		"屬於電信業者在其 NAT 之後共用的位址區段（{rfc}）",
		"は通信事業者が NAT の内側で共用するアドレスです（{rfc}）",
	},
	"unroutable.example":      {"is for examples in texts ({rfc})", "只用于文档示例（{rfc}）", "只用於文件範例（{rfc}）", "は文書の例に使うアドレスです（{rfc}）"},
	"unroutable.reserved":     {"is reserved and leads nowhere ({rfc})", "是保留地址，无法路由（{rfc}）", "是保留位址，無法路由（{rfc}）", "は予約済みアドレスで、どこにも届きません（{rfc}）"},
	"unroutable.this-network": {"means this network and leads nowhere ({rfc})", "表示“本网络”，无法路由（{rfc}）", "表示「本網路」，無法路由（{rfc}）", "は「このネットワーク」を表し、どこにも届きません（{rfc}）"},
	"decode.reach.unspecified": {
		"some servers say it and mean their own; clients should take that of the control connection",
		"有些服务器用它表示自己的地址；客户端应改用控制连接的地址",
		"有些伺服器用它表示自己的位址；用戶端應改用控制連線的位址",
		"自身のアドレスの意味でこれを示すサーバーがあり、クライアントは制御コネクションのアドレスを使うべきです",
	},
	"decode.reach.nobody":     {"nobody can connect to it", "谁也无法连接它", "誰也無法連線到它", "誰も接続できません"},
	"decode.reach.loopback":   {"only a peer on that very machine can connect to it", "只有同一台机器上的对端才能连接", "只有同一台機器上的對端才能連線", "接続できるのは同じマシン上の相手だけです"},
	"decode.reach.link-local": {"only a peer on the same link can connect to it", "只有同一链路上的对端才能连接", "只有同一鏈路上的對端才能連線", "接続できるのは同じリンク上の相手だけです"},
	"decode.reach.passive": {
		"a client elsewhere reaches it only if it takes the port alone. Tell the server its external address (towpath serve --external, pasv_address of vsftpd, MasqueradeAddress of ProFTPD, -P of Pure-FTPd)",
		"别处的客户端只有在仅取端口时才能到达。请在服务器上设置外部地址（towpath serve --external，vsftpd 的 pasv_address，ProFTPD 的 MasqueradeAddress，Pure-FTPd 的 -P）",
		"別處的用戶端只有在僅取連接埠時才能到達。請在伺服器上設定外部位址（towpath serve --external，vsftpd 的 pasv_address，ProFTPD 的 MasqueradeAddress，Pure-FTPd 的 -P）",
		"よそのクライアントは、ポートだけを使う場合にしか届きません。サーバーに外部アドレスを設定してください（towpath serve --external、vsftpd の pasv_address、ProFTPD の MasqueradeAddress、Pure-FTPd の -P）",
	},
	"decode.reach.active": {
		"a server elsewhere refuses it or cannot reach it, unless an ALG on the way rewrites it, which none can under TLS. Passive mode does without",
		"别处的服务器会拒绝它，或者无法到达，除非途中的 ALG 改写它，而在 TLS 下 ALG 无法改写。被动模式不需要它",
		"別處的伺服器會拒絕它，或者無法到達，除非途中的 ALG 改寫它，而在 TLS 下 ALG 無法改寫。被動模式不需要它",
		"よそのサーバーはこれを拒否するか、そこに届きません。途中の ALG が書き換えれば別ですが、TLS では書き換えられません。パッシブモードならこの必要がありません",
	},
	"decode.reach.either": {"a peer in another network cannot connect to it", "其他网络中的对端无法连接它", "其他網路中的對端無法連線到它", "別のネットワークの相手は接続できません"},
	"decode.low-port": {
		"Port {port} is below 1024, where services of the system are: servers refuse it, since a bounce attack would ask for it.",
		"端口 {port} 小于 1024，属于系统服务：服务器会拒绝它，因为反弹攻击（bounce attack）正会这样要求。",
		"連接埠 {port} 小於 1024，屬於系統服務：伺服器會拒絕它，因為反彈攻擊（bounce attack）正會這樣要求。",
		"ポート {port} は 1024 未満で、システムのサービスのものです。バウンス攻撃が求めるものなので、サーバーは拒否します。",
	},

	// Why a line cannot be read.
	"decode.long":         {"{bytes} bytes: want one line of a dialogue, {most} at most", "{bytes} 字节：应为对话中的一行，最多 {most} 字节", "{bytes} 位元組：應為對話中的一行，最多 {most} 位元組", "{bytes} バイトあります。対話の 1 行（最大 {most} バイト）を指定してください"},
	"decode.question":     {"{verb} asks for an announcement and is none; want the server's {reply} that answers it", "{verb} 只是请求通告，本身不是通告；应给出服务器应答它的 {reply}", "{verb} 只是請求通告，本身不是通告；應給出伺服器回應它的 {reply}", "{verb} は通知を求めるもので、通知ではありません。それに応えるサーバーの {reply} を指定してください"},
	"decode.port-bytes":   {"{line}: the two bytes of a port are from 0 to 255 each", "{line}：端口的两个字节各为 0 到 255", "{line}：連接埠的兩個位元組各為 0 到 255", "{line}：ポートの 2 つのバイトはそれぞれ 0 から 255 です"},
	"decode.port-0":       {"{line}: port 0 is none", "{line}：端口 0 无效", "{line}：連接埠 0 無效", "{line}：ポート 0 は使えません"},
	"decode.none":         {"{line}: no announcement; want a line such as PORT 192,168,10,160,192,245, a 227 or 229, an EPRT, or the numbers of a port, 192,245", "{line}：不是通告；应为 PORT 192,168,10,160,192,245 这样的一行，或 227、229、EPRT，或端口的两个数字，如 192,245", "{line}：不是通告；應為 PORT 192,168,10,160,192,245 這樣的一行，或 227、229、EPRT，或連接埠的兩個數字，如 192,245", "{line}：通知ではありません。PORT 192,168,10,160,192,245 のような行、227、229、EPRT、またはポートの数字（192,245 など）を指定してください"},
	"decode.six":          {"{line}: want six numbers parted by commas, four of the address and two of the port", "{line}：应为以逗号分隔的六个数字，四个属于地址，两个属于端口", "{line}：應為以逗號分隔的六個數字，四個屬於位址，兩個屬於連接埠", "{line}：コンマで区切った 6 個の数字（アドレス 4 個、ポート 2 個）が必要です"},
	"decode.count":        {"{line}: {count} numbers; want six, four of the address and two of the port", "{line}：有 {count} 个数字；应为六个，四个属于地址，两个属于端口", "{line}：有 {count} 個數字；應為六個，四個屬於位址，兩個屬於連接埠", "{line}：数字が {count} 個あります。6 個（アドレス 4 個、ポート 2 個）が必要です"},
	"decode.byte-address": {"{line}: {number} is no byte of an address; want 0 to 255", "{line}：{number} 不是地址的字节；应为 0 到 255", "{line}：{number} 不是位址的位元組；應為 0 到 255", "{line}：{number} はアドレスのバイトではありません。0 から 255 を指定してください"},
	"decode.byte-port":    {"{line}: {number} is no byte of a port; want 0 to 255", "{line}：{number} 不是端口的字节；应为 0 到 255", "{line}：{number} 不是連接埠的位元組；應為 0 到 255", "{line}：{number} はポートのバイトではありません。0 から 255 を指定してください"},
}
