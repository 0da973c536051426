using System.Buffers;
using System.Buffers.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace CaptionService.Api.Captions;

/// <summary>The JSON way in: photos, and every other property an option.</summary>
internal sealed class JsonCaptionRequest
{
    public JsonPhoto?[]? Images { get; init; }

    [JsonExtensionData]
    public Dictionary<string, JsonElement>? Options { get; init; }
}

internal sealed record JsonPhoto(string? Name, Base64Bytes? Data);

/// <summary>Bytes that came as base64 or as a data: URL; null where they were neither.</summary>
[JsonConverter(typeof(Converter))]
internal sealed record Base64Bytes(byte[]? Bytes)
{
    private sealed class Converter : JsonConverter<Base64Bytes>
    {
        // Straight from the body's UTF-8 to bytes: a string of 27 million characters is never made.
        public override Base64Bytes Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
        {
            if (reader.TokenType != JsonTokenType.String)
            {
                throw new JsonException();
            }
            int length = reader.HasValueSequence ? checked((int)reader.ValueSequence.Length) : reader.ValueSpan.Length;
            byte[] rented = ArrayPool<byte>.Shared.Rent(length);
            try
            {
                return new Base64Bytes(Decode(rented.AsSpan(0, reader.CopyString(rented))));    // CopyString undoes escapes such as \/
            }
            catch (InvalidOperationException invalidUtf8)
            {
                throw new JsonException(null, invalidUtf8);
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(rented);
            }
        }

        public override void Write(Utf8JsonWriter writer, Base64Bytes value, JsonSerializerOptions options) => writer.WriteBase64StringValue(value.Bytes);

        private static byte[]? Decode(Span<byte> text)
        {
            if (text.StartsWith("data:"u8))
            {
                int comma = text.IndexOf((byte)',');
                if (comma < 0 || !text[..comma].EndsWith(";base64"u8))
                {
                    return null;
                }
                text = text[(comma + 1)..];
            }
            return Base64.DecodeFromUtf8InPlace(text, out int written) == OperationStatus.Done ? text[..written].ToArray() : null;
        }
    }
}
