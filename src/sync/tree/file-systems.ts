/** File systems that do not report what other machines write to them. */
import { statfs } from "node:fs/promises";
import type { FsPath } from "../../reader/discover.ts";

/**
 * The name of the file system that holds a path, if it is known to be silent; undefined otherwise.
 *
 * inotify reports what goes through this kernel: not what another client of a server, the host of a virtual machine, or a
 * FUSE daemon does to a file.
 *
 * @throws the system's error
 */
export async function silentFileSystem(path: FsPath): Promise<string | undefined> {
  // On other systems the number means something else, or nothing.
  if (process.platform !== "linux") return undefined;
  return SILENT.get((await statfs(path)).type);
}

/**
 * By the `f_type` of statfs(2). overlayfs is not among them: within a container its writes are local ones.
 *
 * Source: linux/magic.h; fs/vboxsf/super.c; for those outside the kernel's tree coreutils' src/stat.c.
 */
const SILENT: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB2"],
  [0x564c, "NCP"],
  [0x65735546, "FUSE"],
  [0x01021997, "9P"],
  [0x00c36400, "Ceph"],
  [0x5346414f, "AFS"],
  [0x6b414653, "AFS"],
  [0x73757245, "Coda"],
  [0x7461636f, "OCFS2"],
  [0x01161970, "GFS2"],
  [0x20030528, "OrangeFS"],
  [0x786f4256, "VirtualBox shared folder"],
  [0xbacbacbc, "VMware shared folder"],
  [0x7c7c6673, "Parallels shared folder"],
  [0x0bd00bd0, "Lustre"],
  [0x47504653, "GPFS"],
  [0x19830326, "BeeGFS"],
  [0xaad7aaea, "PanFS"],
]);
