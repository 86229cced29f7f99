package words

// shown is what package lab says about what it has run.
var shown = map[string]message{
	"lab.title":      {"What was predicted, and what happened", "预测与实际", "預測與實際", "予測と実際"},
	"lab.network":    {"NETWORK", "网络", "網路", "ネットワーク"},
	"lab.predicted":  {"PREDICTED", "预测", "預測", "予測"},
	"lab.observed":   {"OBSERVED", "实际", "實際", "実際"},
	"lab.at":         {"{seen} at {hop}", "{seen}（{hop}）", "{seen}（{hop}）", "{seen}（{hop}）"},
	"lab.not-run":    {"not run", "未运行", "未執行", "未実行"},
	"lab.differs":    {"differs", "不一致", "不一致", "不一致"},
	"lab.dialogue":   {"the dialogue, as the client had it", "对话（客户端一侧）", "對話（用戶端一側）", "対話（クライアント側）"},
	"lab.recordings": {"Recordings:", "抓包文件：", "封包擷取檔：", "キャプチャ："},
	"lab.told": {
		"Predicted: {predicted}. Observed: {observed}.",
		"预测：{predicted}。实际：{observed}。",
		"預測：{predicted}。實際：{observed}。",
		"予測：{predicted}。実際：{observed}。",
	},
	"lab.verdict": {
		"{agree} of {run} cases went as predicted",
		"{run} 个案例中有 {agree} 个与预测一致",
		"{run} 個案例中有 {agree} 個與預測一致",
		"{run} 件中 {agree} 件が予測どおりでした",
	},
	"lab.unexplained": {"unexplained", "未解释", "未解釋", "原因不明"},
	"lab.verdict.explained": {
		"; the recordings tell the cause of {told} of {failures} failures",
		"；{failures} 次失败中有 {told} 次可由抓包文件说明原因",
		"；{failures} 次失敗中有 {told} 次可由封包擷取檔說明原因",
		"。失敗 {failures} 件中 {told} 件の原因をキャプチャが示しました",
	},
	"lab.verdict.skipped": {"; {skipped} were not run", "；{skipped} 个未运行", "；{skipped} 個未執行", "（{skipped} 件は未実行）"},
	"lab.programs": {
		"; server {server}, client {client}.",
		"；服务器：{server}，客户端：{client}。",
		"；伺服器：{server}，用戶端：{client}。",
		"。使用サーバー：{server}、クライアント：{client}。",
	},
}
