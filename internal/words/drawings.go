package words

// drawings are the words in the drawing of a network.
var drawings = map[string]message{
	"draw.forwards":     {"forwards {ports} → {to}", "转发 {ports} → {to}", "轉送 {ports} → {to}", "{ports} を {to} へ転送"},
	"draw.forwards-all": {"forwards all → {to}", "转发全部 → {to}", "轉送全部 → {to}", "すべて {to} へ転送"},
	"draw.source-nat":   {"source NAT on {out}", "源 NAT（{out}）", "來源 NAT（{out}）", "送信元 NAT（{out}）"},
	"draw.firewall":     {"firewall", "防火墙", "防火牆", "ファイアウォール"},
	"draw.alg":          {"ALG: {kind}, port {ports}", "ALG：{kind}，端口 {ports}", "ALG：{kind}，連接埠 {ports}", "ALG：{kind}、ポート {ports}"},
	"draw.forgets":      {"forgets after {idle}", "{idle} 后忘记连接", "{idle} 後忘記連線", "{idle} で接続を忘れる"},
	"draw.server":       {"FTP server", "FTP 服务器", "FTP 伺服器", "FTP サーバー"},
	"draw.client":       {"FTP client", "FTP 客户端", "FTP 用戶端", "FTP クライアント"},
	"draw.tells":        {"tells {address}", "通告 {address}", "通告 {address}", "{address} を通知"},
	"draw.heard":        {"{said}, heard as {heard}", "{said}，对方收到 {heard}", "{said}，對方收到 {heard}", "{said}、相手には {heard}"},
	"draw.226":          {"226, after the transfer", "226（传输之后）", "226（傳輸之後）", "226（転送の後）"},
	"draw.data":         {"data connection to {to}", "到 {to} 的数据连接", "到 {to} 的資料連線", "{to} へのデータコネクション"},
	"draw.control":      {"control connection to {to}", "到 {to} 的控制连接", "到 {to} 的控制連線", "{to} への制御コネクション"},
	"draw.now-from":     {"now from {address}", "源变为 {address}", "來源變為 {address}", "送信元が {address} に"},
	"draw.now-to":       {"now to {address}", "目的变为 {address}", "目的變為 {address}", "宛先が {address} に"},
	"draw.at":           {"{cause} at {hop}: {seen}.", "{hop}：{cause}，{seen}。", "{hop}：{cause}，{seen}。", "{hop}：{cause}、{seen}。"},
}
