module ftpbench/jlaffaye

go 1.26

require github.com/jlaffaye/ftp v0.2.4
