using System.Buffers.Binary;
using System.Text;

namespace CaptionService.Api.Tests.TrainingJobs;

/// <summary>A small reader of TensorBoard's event files: TFRecord frames with their checksums, in them protobuf Event messages.</summary>
internal static class TensorBoardFile
{
    public static IEnumerable<(long Step, string Tag, float Value)> Read(string path)
    {
        byte[] file = File.ReadAllBytes(path);
        for (int at = 0; at < file.Length;)
        {
            int length = (int)BinaryPrimitives.ReadUInt64LittleEndian(file.AsSpan(at));
            Assert.Equal(Masked(file.AsSpan(at, 8)), BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(at + 8)));
            byte[] record = file[(at + 12)..(at + 12 + length)];
            Assert.Equal(Masked(record), BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(at + 12 + length)));
            at += 12 + length + 4;
            foreach (var point in Event(record))
            {
                yield return point;
            }
        }
    }

    // Event: step = 2, summary = 5; Summary: value = 1; Value: tag = 1, simple_value = 2.
    private static List<(long, string, float)> Event(byte[] record)
    {
        long step = 0;
        var points = new List<(long, string, float)>();
        foreach (var (field, number, bytes) in Fields(record))
        {
            step = field == 2 ? (long)number : step;
            foreach (var (_, _, value) in field == 5 ? Fields(bytes).Where(f => f.Field == 1) : [])
            {
                var parts = Fields(value).ToDictionary(f => f.Field);
                if (parts.TryGetValue(2, out var simple))
                {
                    points.Add((step, Encoding.UTF8.GetString(parts[1].Bytes), BitConverter.UInt32BitsToSingle((uint)simple.Number)));
                }
            }
        }
        return points;
    }

    private static IEnumerable<(int Field, ulong Number, byte[] Bytes)> Fields(byte[] message)
    {
        for (int at = 0; at < message.Length;)
        {
            ulong key = Varint(message, ref at);
            (int field, ulong number, byte[] bytes) = ((int)(key >> 3), 0UL, Array.Empty<byte>());
            switch (key & 7)
            {
                case 0:
                    number = Varint(message, ref at);
                    break;
                case 1:
                    number = BinaryPrimitives.ReadUInt64LittleEndian(message.AsSpan(at));
                    at += 8;
                    break;
                case 2:
                    int length = (int)Varint(message, ref at);
                    bytes = message[at..(at + length)];
                    at += length;
                    break;
                case 5:
                    number = BinaryPrimitives.ReadUInt32LittleEndian(message.AsSpan(at));
                    at += 4;
                    break;
                default:
                    Assert.Fail($"wire type {key & 7}");
                    break;
            }
            yield return (field, number, bytes);
        }
    }

    private static ulong Varint(byte[] bytes, ref int at)
    {
        ulong value = 0;
        for (int shift = 0; ; shift += 7)
        {
            byte b = bytes[at++];
            value |= (ulong)(b & 127) << shift;
            if (b < 128)
            {
                return value;
            }
        }
    }

    private static uint Masked(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;       // CRC-32C
        foreach (byte b in bytes)
        {
            crc ^= b;
            for (int bit = 0; bit < 8; bit++)
            {
                crc = (crc & 1) != 0 ? 0x82F63B78 ^ (crc >> 1) : crc >> 1;
            }
        }
        crc = ~crc;
        return ((crc >> 15) | (crc << 17)) + 0xA282EAD8;
    }
}
