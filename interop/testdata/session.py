"""Python's ftplib, told one step at a time.

session.py HOST PORT CERT HOW STEP [NAME...]

HOW is a list of words: passive or active, clear, tls12 or tls13, and bound
if the data connections shall resume the session of the control connection
(ftplib does not do so by itself).
"""
import ftplib
import os
import ssl
import sys


class Bound(ftplib.FTP_TLS):
    def ntransfercmd(self, cmd, rest=None):
        conn, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        if self._prot_p:
            conn = self.context.wrap_socket(conn, server_hostname=self.host, session=self.sock.session)
        return conn, size


def connect(host, port, cert, how):
    if "clear" in how:
        ftp = ftplib.FTP(timeout=30)
    else:
        context = ssl.create_default_context(cafile=cert)
        version = ssl.TLSVersion.TLSv1_2 if "tls12" in how else ssl.TLSVersion.TLSv1_3
        context.minimum_version = context.maximum_version = version
        ftp = (Bound if "bound" in how else ftplib.FTP_TLS)(timeout=30, context=context)
    ftp.connect(host, port)
    ftp.login("skipper", "weir")
    if "clear" not in how:
        ftp.prot_p()
    ftp.set_pasv("passive" in how)
    return ftp


def main(host, port, cert, how, step, *names):
    ftp = connect(host, int(port), cert, how.split())
    if step == "list":
        for name, facts in ftp.mlsd(names[0], ["type", "size"]):
            print(name)
        ftp.dir(names[0])
    elif step == "send":
        for name in names:
            with open(name, "rb") as f:
                ftp.storbinary("STOR " + name, f)
    elif step == "fetch":
        for name in names:
            with open(name, "wb") as f:
                ftp.retrbinary("RETR " + name, f.write)
    elif step == "resend":
        with open(names[0], "rb") as f:
            ftp.voidcmd("TYPE I")
            at = ftp.size(names[0])
            f.seek(at)
            ftp.storbinary("STOR " + names[0], f, rest=at)
    elif step == "refetch":
        with open(names[0], "ab") as f:
            ftp.retrbinary("RETR " + names[0], f.write, rest=os.path.getsize(names[0]))
    elif step == "remove":
        ftp.delete(names[0])
    elif step == "mkdir":
        ftp.mkd(names[0])
    elif step == "rename":
        ftp.rename(names[0], names[1])
    else:
        sys.exit("no such step: " + step)
    ftp.quit()


main(*sys.argv[1:])
